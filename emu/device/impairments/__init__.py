"""What a line does to frames beyond carrying them.

`settings` reads what is asked for; `loss`, `jitter`, `token_bucket` are models; `chance` draws the fates of frames;
`statistics` is what came of it.
"""
