/* Sends and receives UDP datagrams between network namespaces and reports times as one line of JSON.
 *
 *   probe burst  SENDER_NS RECEIVER_NS|- ADDRESS PORT SIZE BATCH ROUNDS
 *       One process on CPU 0 sends BATCH datagrams, then reads them, ROUNDS times. Softirqs of a send run inside the
 *       send on the same CPU, so "send" is the whole way to the receiver's socket and "receive" the way from there.
 *       With "-" nobody receives: the datagrams are meant to be dropped on the way.
 *   probe stream SENDER_NS RECEIVER_NS ADDRESS PORT SIZE COUNT SENDER_CPU RECEIVER_CPU
 *       Two processes, at most WINDOW datagrams between them, so that nothing is lost; reports datagrams per second.
 *   probe rr     SENDER_NS RECEIVER_NS ADDRESS PORT SIZE COUNT GAP_US
 *       Request and response with a blocking server, GAP_US of sleep between rounds; reports round-trip times.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 256, TIME_LIMIT_S = 30, SIZE_MAX_BYTES = 65507 };
static char buffer[SIZE_MAX_BYTES];

static void fail(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set))
		fail("sched_setaffinity");
}

/* A UDP socket in a namespace: bound to a port (receiver), or connected (sender). */
static int open_socket(const char *namespace, const char *address, int port, int receives)
{
	char path[256];
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(port) };
	int size = 8 << 20, fd;

	snprintf(path, sizeof path, "/run/netns/%s", namespace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail(path);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	if (receives) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
		if (bind(fd, (struct sockaddr *)&where, sizeof where))
			fail("bind");
	} else {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
		inet_pton(AF_INET, address, &where.sin_addr);
		if (connect(fd, (struct sockaddr *)&where, sizeof where))
			fail("connect");
	}
	return fd;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_statistics(const char *name, double *values, int count, const char *end)
{
	qsort(values, count, sizeof *values, compare);
	printf("\"%s\": {\"minimum\": %.0f, \"q1\": %.0f, \"median\": %.0f, \"q3\": %.0f, \"p99\": %.0f}%s", name, values[0],
	       values[count / 4], values[count / 2], values[3 * count / 4], values[(int)(count * 0.99)], end);
}

static int burst(char **a)
{
	int quiet = !strcmp(a[1], "-"), port = atoi(a[3]), size = atoi(a[4]), batch = atoi(a[5]), rounds = atoi(a[6]);
	int receiver = quiet ? -1 : open_socket(a[1], NULL, port, 1);
	int sender = open_socket(a[0], a[2], port, 0);
	double *sent = calloc(rounds, sizeof *sent), *received = calloc(rounds, sizeof *received);
	long refused = 0, lost = 0;

	pin(0);
	for (int i = 0; i < rounds; i++) {
		double start = now_ns(), middle;
		int got = 0;
		for (int j = 0; j < batch; j++)
			refused += send(sender, buffer, size, MSG_DONTWAIT) < 0;
		middle = now_ns();
		sent[i] = (middle - start) / batch;
		while (!quiet && got < batch && recv(receiver, buffer, sizeof buffer, MSG_DONTWAIT) >= 0)
			got++;
		received[i] = got ? (now_ns() - middle) / got : 0;
		lost += quiet ? 0 : batch - got;
		if (i % 16 == 0)
			usleep(500); /* let others run: a preempted round is an outlier */
	}
	printf("{");
	print_statistics("send_ns", sent, rounds, ", ");
	print_statistics("receive_ns", received, rounds, ", ");
	printf("\"refused\": %ld, \"lost\": %ld}\n", refused, lost);
	return 0;
}

static int stream(char **a)
{
	int port = atoi(a[3]), size = atoi(a[4]), sender_cpu = atoi(a[6]), receiver_cpu = atoi(a[7]);
	long count = atol(a[5]);
	atomic_long *received = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int receiver = open_socket(a[1], NULL, port, 1), sender = open_socket(a[0], a[2], port, 0);
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (!child) {
		alarm(TIME_LIMIT_S);
		pin(receiver_cpu);
		while (recv(receiver, buffer, sizeof buffer, 0) >= 0)
			atomic_fetch_add(received, 1);
		exit(1);
	}
	pin(sender_cpu);
	double start = now_ns(), limit = start + TIME_LIMIT_S * 1e9 / 2;
	for (long i = 0; i < count; i++) {
		while (i - atomic_load(received) >= WINDOW && now_ns() < limit)
			sched_yield();
		if (send(sender, buffer, size, 0) < 0)
			fail("send");
	}
	while (atomic_load(received) < count && now_ns() < limit)
		sched_yield();
	double seconds = (now_ns() - start) / 1e9;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("{\"datagrams_per_s\": %.0f, \"lost\": %ld}\n", atomic_load(received) / seconds, count - atomic_load(received));
	return 0;
}

static int request_response(char **a)
{
	int port = atoi(a[3]), size = atoi(a[4]), count = atoi(a[5]), gap_us = atoi(a[6]);
	int receiver = open_socket(a[1], NULL, port, 1), sender = open_socket(a[0], a[2], port, 0);
	double *times = calloc(count, sizeof *times);
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	alarm(TIME_LIMIT_S);
	if (!child) {
		struct sockaddr_in from;
		socklen_t length = sizeof from;
		ssize_t got;
		while ((got = recvfrom(receiver, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length)) >= 0)
			sendto(receiver, buffer, got, 0, (struct sockaddr *)&from, length);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		usleep(gap_us);
		double start = now_ns();
		if (send(sender, buffer, size, 0) < 0 || recv(sender, buffer, sizeof buffer, 0) < 0)
			fail("send and recv");
		times[i] = now_ns() - start;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("{");
	print_statistics("rtt_ns", times, count, "}\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 9 && !strcmp(argv[1], "burst"))
		return burst(argv + 2);
	if (argc == 10 && !strcmp(argv[1], "stream"))
		return stream(argv + 2);
	if (argc == 9 && !strcmp(argv[1], "rr"))
		return request_response(argv + 2);
	fprintf(stderr, "probe: see the head of probe.c for its arguments\n");
	return 2;
}
