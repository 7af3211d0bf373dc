#!/usr/bin/python3
"""21 conversions, three users in parallel, with 1, 2 and 4 transcoders: from the first POST to the last mail."""

import concurrent.futures
import time

import bench
import lib as e2e

USERS = 3
ROUNDS = 7
LENGTHS = (30, 60, 105, 210)
TRANSCODERS = (1, 2, 4)


def one_user(number, user):
    """Each logs in, then uploads a video, waits for its mail and downloads, seven times."""
    user.login()
    for turn in range(ROUNDS):
        seconds = LENGTHS[(number + turn) % len(LENGTHS)]
        media_id = user.upload(e2e.looped(seconds), name=f"{seconds}s.mp4")
        _, _, message = e2e.mail_of(media_id, 300)
        ended = time.monotonic()
        answer = e2e.request("GET", e2e.link_of(message))
        assert answer.status == 200 and len(answer.body) > seconds * 20000, answer
    return ended


def conversions(users):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(USERS) as pool:
        ended = max(pool.map(one_user, range(USERS), users))
    return {"seconds": ended - began}


def with_transcoders(number, users):
    def run():
        e2e.up("workers", WORKERS=str(number))
        for path in e2e.MAILS.glob("*.eml"):
            path.unlink()
        return conversions(users)
    return run


def main():
    users = [e2e.User(f"bench{n}") for n in range(USERS)]
    for seconds in LENGTHS:
        e2e.looped(seconds)
    series = bench.in_turn({str(n): with_transcoders(n, users) for n in TRANSCODERS}, warmup=0)
    alone = series[str(TRANSCODERS[0])]["seconds"]
    bench.table(["transcoders", "first POST to last mail, s", "times as fast as one"],
                [[name, bench.spread(figures["seconds"]), bench.spread(bench.ratios(alone, figures["seconds"]))]
                 for name, figures in series.items()])


if __name__ == "__main__":
    main()
