# ruff: noqa: S101  # a suite of tests asserts
"""The conformance suite of rate limit stores.

    class TestMyStore(RateLimitStoreSuite):
        @pytest.fixture
        def store(self):
            return MyStore()

It runs sync and async stores alike and compares them with the pure rules that `MemoryRateLimitStore`
uses. A store that goes by the caller's clock and knows every algorithm needs nothing more. One that goes
by a server's clock says how far its time may be off (`slack`), how long a window of the timed tests is
(`window`), and how to let time pass (`advance`). One that serves less says so, and has to refuse the rest
(`algorithms`, `several_limits`, `refunds`), and whether it is exact about what is left (`exact_remaining`).
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._quota import ALGORITHMS, NEVER, Algorithm, Quota
from scalekit.testing._ratelimit_calls import START, YieldingQuota, limit, quota_of
from scalekit.testing._ratelimit_histories import ALIGNED, LARGE_QUOTAS, QUOTAS, RateLimitStoreHistories

__all__ = ["RateLimitStoreSuite"]

_HOUR = 3_600_000_000
_ODD_KEYS = (
    "",
    " ",
    "a",
    "A",
    "a ",
    "a:b",
    "a/b",
    "{a}",
    "a\0",
    "a\0b",
    "\n",
    "é",
    "e\u0301",
    "🔑",
    "%s",
    "*",
)
_ODD_KEYS_TOO = ("\ud800", "x" * 280, "x" * 279)


class RateLimitStoreSuite(RateLimitStoreHistories):
    """Subclass it with a `store` fixture; every test proves one clause of `RateLimitStore`.

    `slack` is the number of microseconds by which the store's time may differ from what the tests let
    pass: 0 (default) for a store that goes by `now`, which is then compared exactly. `window`, in
    microseconds, is the length of the windows that timed tests let pass: 1,000,000 (default), one second.

    What a store does not serve it has to refuse, by `ConfigurationError`. `algorithms` are those it knows
    (default: all). `several_limits` and `refunds` are False for one that takes quotas of one limit only, or
    takes nothing back; the tests then go without. `exact_remaining` is False for one whose `remaining` may
    include what others consumed a moment later.
    """

    algorithms: ClassVar[tuple[Algorithm, ...]] = ALGORITHMS
    exact_remaining: ClassVar[bool] = True

    def test_what_is_not_served_is_refused(self) -> None:
        """Never half done: neither several limits one after the other nor a refund that is ignored."""
        key, quota = self._key(), Quota([limit(3, _HOUR), limit(5, 2 * _HOUR)])
        if not self.several_limits:
            for ask in (self._hit, self._peek):
                with pytest.raises(ConfigurationError):
                    ask(key, quota)
        if not self.refunds:
            with pytest.raises(ConfigurationError):
                self._refund(key, quota_of(3, _HOUR))

    # -- admission --------------------------------------------------------------------------------

    def test_admits_exactly_the_limit(self) -> None:
        """Of any number of hits, the first `limit` are admitted, and each says what is left."""
        key, quota = self._key(), quota_of(5, _HOUR)
        verdicts = [self._hit(key, quota) for _ in range(8)]
        assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 3
        assert [verdict.remaining for verdict in verdicts] == [(n,) for n in (4, 3, 2, 1, 0, 0, 0, 0)]
        assert all(verdict.retry == (0,) for verdict in verdicts[:5])
        assert all(self._near(verdict.retry[0], _HOUR) for verdict in verdicts[5:])
        assert all(self._near(verdict.reset[0], _HOUR) for verdict in verdicts)

    def test_a_denial_consumes_nothing_from_any_limit(self) -> None:
        """All or none, whichever limit it is that denies, and however often."""
        for first, second in ((2, 7), (7, 2)):
            key, quota = self._key(), self._quota((first, _HOUR), (second, 2 * _HOUR))
            admitted = [self._hit(key, quota).allowed for _ in range(8)]
            assert admitted == [n < quota.smallest for n in range(8)]
            assert self._peek(key, quota).remaining == tuple(n - quota.smallest for n in quota.units)

    def test_a_cost_is_consumed_whole_or_not_at_all(self) -> None:
        """A cost that does not fit is denied even though some units are left."""
        key, quota = self._key(), quota_of(10, _HOUR)
        assert self._hit(key, quota, 7).remaining == (3,)
        assert not self._hit(key, quota, 4).allowed
        assert self._hit(key, quota, 3).remaining == (0,)

    def test_a_cost_above_a_limit_is_denied_for_ever(self) -> None:
        """It consumes nothing and says that no wait helps; the other limits speak for themselves."""
        key, quota = self._key(), self._quota((3, _HOUR), (9, 2 * _HOUR))
        verdict = self._hit(key, quota, 4)
        assert not verdict.allowed
        assert verdict.retry == (NEVER, *quota.none[1:])
        assert verdict.remaining == quota.units
        assert self._hit(key, quota, 3).remaining == tuple(units - 3 for units in quota.units)

    def test_peek_foretells_and_consumes_nothing(self) -> None:
        """As often as one peeks, the answer is what a hit would get, before consumption."""
        key, quota = self._key(), quota_of(3, _HOUR)
        assert self._peek(key, quota).reset == (0,)
        for left in (3, 2, 1):
            assert [self._peek(key, quota).remaining for _ in range(3)] == [(left,)] * 3
            assert self._peek(key, quota, left).allowed
            assert not self._peek(key, quota, left + 1).allowed
            self._hit(key, quota)
        assert not self._peek(key, quota).allowed

    def test_keys_do_not_share_counts(self) -> None:
        """Whatever a key is made of, it is another one than all others."""
        prefix, quota = self._key(), quota_of(2, _HOUR)
        for odd in _ODD_KEYS + _ODD_KEYS_TOO:
            assert self._hit(prefix + odd, quota).remaining == (1,), f"{odd!r} was hit before"
        for odd in _ODD_KEYS + _ODD_KEYS_TOO:
            assert self._hit(prefix + odd, quota).remaining == (0,), f"{odd!r} was lost"

    # -- giving back ------------------------------------------------------------------------------

    def test_a_refund_undoes_the_last_hit_under_every_limit(self) -> None:
        """After it all is as before."""
        if not self.refunds:
            return
        key, quota = self._key(), self._quota((3, _HOUR), (5, 2 * _HOUR))
        self._hit(key, quota, 1)
        before = self._peek(key, quota)
        self._hit(key, quota, 2)
        self._refund(key, quota, 2)
        after = self._peek(key, quota)
        assert before.remaining == tuple(units - 1 for units in quota.units)
        assert (after.allowed, after.remaining) == (True, before.remaining)

    def test_a_refund_takes_back_the_newest(self) -> None:
        """Of units consumed at several times it is the last ones that go: the others expire as before."""
        if not self.refunds:
            return
        key, quota = self._key(), quota_of(3, self.window)
        self._hit(key, quota)
        self.advance(self.window // 2)
        self._hit(key, quota, 2)
        self._refund(key, quota, 2)
        assert self._peek(key, quota).remaining == (2,)
        self.advance(self.window // 2 + self.slack)
        assert self._peek(key, quota).remaining == (3,)

    def test_a_refund_banks_nothing(self) -> None:
        """Neither on a key that consumed nothing nor beyond what it consumed is more free than the limit."""
        if not self.refunds:
            return
        key, quota = self._key(), quota_of(3, _HOUR)
        self._refund(key, quota, 5)
        assert self._peek(key, quota).remaining == (3,)
        self._hit(key, quota, 2)
        self._refund(key, quota, 1_000)
        assert [self._hit(key, quota).allowed for _ in range(5)] == [True] * 3 + [False] * 2

    def test_reset_forgets_one_key(self) -> None:
        """A reset key starts anew; the others stay; an unknown one may be reset."""
        key, other, quota = self._key(), self._key(), quota_of(2, _HOUR)
        self._hit(key, quota, 2)
        self._hit(other, quota, 2)
        self._driver(self._store.reset, key)
        self._driver(self._store.reset, self._key())
        assert self._hit(key, quota).remaining == (1,)
        assert not self._hit(other, quota).allowed

    # -- time -------------------------------------------------------------------------------------

    def test_retry_is_the_first_moment_of_admission(self) -> None:
        """Just before it a hit is denied, at it admitted; denials in between do not put it off."""
        key, quota = self._key(), quota_of(2, self.window)
        self._hit(key, quota)
        self.advance(self.window // 4)
        self._hit(key, quota)
        wait = self._hit(key, quota).retry[0]
        assert self._near(wait, self.window - self.window // 4)
        if not self.slack:
            self.advance(wait - 1)
            assert self._hit(key, quota).retry == (1,)
            wait = 1
        self.advance(wait)
        assert self._hit(key, quota).allowed
        assert not self._hit(key, quota).allowed

    def test_the_window_slides(self) -> None:
        """Units return one by one, each a window after it was consumed, not all at a boundary."""
        key, quota = self._key(), quota_of(4, self.window)
        self._hit(key, quota, 1)
        self.advance(self.window // 2)
        self._hit(key, quota, 3)
        self.advance(self.window // 2 + self.slack)
        assert self._peek(key, quota).remaining == (1,)
        assert not self._hit(key, quota, 2).allowed
        self.advance(self.window // 2)
        assert self._peek(key, quota).remaining == (4,)

    def test_what_is_expired_is_forgotten(self) -> None:
        """After the longest window nothing is left of a key."""
        key, quota = self._key(), self._quota((1, self.window // 2), (2, self.window))
        assert self._hit(key, quota).allowed
        self.advance(self.window + self.slack)
        assert self._peek(key, quota) == quota.untouched

    def test_time_never_runs_backwards(self) -> None:
        """A clock that jumps back admits nothing that it would not have admitted before the jump."""
        key, quota = self._key(), quota_of(2, self.window)
        self._hit(key, quota, 2)
        for jump in (-1, -self.window, -START):
            self._now = START + jump
            assert not self._hit(key, quota).allowed
        self._now = START
        assert not self._hit(key, quota).allowed

    def test_a_change_of_quota_keeps_what_was_consumed(self) -> None:
        """Neither a larger nor a smaller plan starts anew."""
        key = self._key()
        small, large = quota_of(3, _HOUR), self._quota((5, _HOUR), (50, 2 * _HOUR))
        self._hit(key, small, 3)
        assert self._hit(key, large, 2).remaining == tuple(units - 5 for units in large.units)
        assert self._peek(key, small).remaining == (0,)
        assert not self._hit(key, large).allowed

    # -- at the same time -------------------------------------------------------------------------

    def test_concurrent_hits_admit_exactly_the_limit(self) -> None:
        """Eight at once, several limits: not one more than the smallest, and none lost from the others."""
        key, quota = self._key(), YieldingQuota(self._quota((400, _HOUR), (1_200, 2 * _HOUR)).limits)
        verdicts = self._together(100, "hit", key, quota, 1, self._now)
        admitted = [verdict for verdict in verdicts if verdict.allowed]
        assert len(admitted) == 400  # noqa: PLR2004
        told = {verdict.remaining for verdict in admitted}
        possible = {tuple(units - n for units in quota.units) for n in range(1, 401)}
        assert told == possible if self.exact_remaining else told <= possible
        assert self._peek(key, quota).remaining == tuple(units - 400 for units in quota.units)

    def test_concurrent_refunds_lose_nothing(self) -> None:
        """As many refunds as hits leave everything free."""
        if not self.refunds:
            return
        key, quota = self._key(), quota_of(1_000, _HOUR)
        self._hit(key, quota, 800)
        self._together(100, "refund", key, quota, 1, self._now)
        assert self._peek(key, quota).remaining == (1_000,)

    # -- against the rule -------------------------------------------------------------------------

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_any_history_agrees_with_the_rule(self, algorithm: Algorithm) -> None:
        """Whatever happens to a key, each answer is that of the algorithm's rule.

        A store with slack is compared in windows of hours, where the time that a test takes is nothing,
        and not where windows are aligned to a clock.
        """
        if algorithm not in self.algorithms:
            with pytest.raises(ConfigurationError):
                self._hit(self._key(), quota_of(1, _HOUR, algorithm))
        elif not (self.slack and algorithm in ALIGNED):
            self._histories_agree(algorithm, QUOTAS, scale_of_cost=1)

    def test_any_history_of_large_limits_agrees_with_the_rule(self) -> None:
        """So it is where limits are beyond what the default algorithm keeps an exact log of."""
        if ALGORITHMS[0] in self.algorithms and not self.slack:
            self._histories_agree(ALGORITHMS[0], LARGE_QUOTAS, scale_of_cost=97)
