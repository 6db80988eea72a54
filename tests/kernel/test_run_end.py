"""A run ends when no foreground work is left."""

from emu.kernel import Kernel


def test_background_calls_do_not_keep_the_run_alive():
    kernel = Kernel()
    log = []

    def tick(_):
        log.append(kernel.now)
        kernel.call_later(10, tick, background=True)

    kernel.call_later(10, tick, background=True)
    kernel.call_later(35, log.append, "foreground")
    kernel.run()
    assert log == [10, 20, 30, "foreground"]
    assert kernel.now == 35, "the clock stays at the last foreground work"


def test_background_work_runs_up_to_a_given_end():
    kernel = Kernel()
    log = []

    def tick(_):
        log.append(kernel.now)
        kernel.call_later(10, tick, background=True)

    kernel.call_later(10, tick, background=True)
    kernel.run(until=45)
    assert log == [10, 20, 30, 40]
    assert kernel.now == 45


def test_a_run_of_nothing_but_background_work_ends_at_once_and_can_be_continued():
    kernel = Kernel()
    log = []
    kernel.call_later(10, log.append, "background", background=True)
    kernel.run()
    assert (kernel.now, log) == (0, [])
    kernel.call_later(20, log.append, "foreground")
    kernel.run()
    assert log == ["background", "foreground"]


def test_the_waiting_of_a_background_process_does_not_keep_the_run_alive():
    kernel = Kernel()
    log = []

    def server():
        while True:
            yield kernel.timeout(10)
            log.append(kernel.now)

    kernel.spawn(server(), background=True)
    kernel.call_later(25, lambda _: None)
    kernel.run()
    assert log == [10, 20]


def test_what_a_background_process_triggers_at_once_is_foreground():
    kernel = Kernel()
    done = kernel.event()
    log = []

    def server():
        yield kernel.timeout(10)
        done.succeed()
        yield kernel.timeout(10)

    def client():
        yield done
        yield kernel.timeout(5)
        log.append(kernel.now)

    kernel.spawn(server(), background=True)
    kernel.spawn(client())
    kernel.call_later(11, lambda _: None)
    kernel.run()
    assert log == [15]


def test_a_stopped_timer_does_not_keep_the_run_alive():
    kernel = Kernel()
    timer = kernel.timer(lambda _: None)
    timer.start(1_000_000)
    kernel.call_later(5, lambda _: timer.stop())
    kernel.run()
    assert kernel.now == 5
