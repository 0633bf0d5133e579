"""What a user would notice of it; `--composer-contracts` checks the rest."""

import threading

from my_thing import MyThing


def where(_: int) -> int:
    return threading.get_ident()


def test_the_work_is_done_in_other_threads() -> None:
    threads = {outcome.value for outcome in MyThing(workers=2)([where], range(8), 60.0)}
    assert threading.get_ident() not in threads
    assert 1 <= len(threads) <= 2
