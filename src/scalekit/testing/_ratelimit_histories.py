# ruff: noqa: S101  # a suite of tests asserts
"""Random histories of one key, on a store and by the rule of the algorithm."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.ratelimit._limit import Limit
from scalekit.ratelimit._quota import Algorithm, Quota, Verdict
from scalekit.testing._ratelimit_calls import RateLimitStoreCalls, Rule, limit

_HOUR = 3_600_000_000

# All reach back equally far: how much more a store remembers than the quotas that it saw is its own affair.
QUOTAS = ("6/10s", "4/10s", "2/s; 6/10s", "1/s; 4/2s; 6/10s", "5/3s; 6/10s; 2/s")
# Beyond what the exact log of "sliding-window" keeps, and both kinds together.
LARGE_QUOTAS = ("600/10s", "2/s; 600/10s", "600/10s; 900/20s", "6/10s")
# Their windows begin at the multiples of their length, by a clock that a store with slack does not tell.
ALIGNED: tuple[Algorithm, ...] = ("sliding-counter", "fixed-window")
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hit"), st.integers(1, 6)),
        st.tuples(st.just("peek"), st.integers(1, 6)),
        st.tuples(st.just("refund"), st.integers(1, 6)),
        st.tuples(st.just("advance"), st.sampled_from([1, 333_333, 500_000, 999_999, 1_000_000, 3_000_000])),
        st.tuples(st.just("quota"), st.integers(0, len(QUOTAS) - 1)),
        st.tuples(st.just("reset"), st.just(0)),
    ),
    min_size=10,
    max_size=40,
)


class RateLimitStoreHistories(RateLimitStoreCalls):
    """What compares a store with a rule, step by step."""

    refunds: ClassVar[bool] = True

    def _histories_agree(self, algorithm: Algorithm, texts: tuple[str, ...], *, scale_of_cost: int) -> None:
        scale = _HOUR if self.slack else 1
        quotas = [
            Quota([limit(one.limit, one.microseconds * scale) for one in Limit.parse_many(text)], algorithm)
            for text in texts
            if self.several_limits or len(Limit.parse_many(text)) == 1
        ]

        # Within the test and not around it: hypothesis refuses a method that several classes inherit.
        @settings(deadline=None)
        @given(steps=_STEPS)
        def agrees(steps: list[tuple[str, int]]) -> None:
            key, quota, rule = self._key(), quotas[0], Rule(quotas[0])
            for step, value in steps:
                if step == "quota":
                    quota = quotas[value % len(quotas)]
                elif step == "advance":
                    if not self.slack:
                        self.advance(value)
                elif step == "refund":
                    if not self.refunds:
                        continue
                    self._refund(key, quota, value * scale_of_cost)
                    rule.refund(value * scale_of_cost)
                elif step == "reset":
                    self._driver(self._store.reset, key)
                    rule.clear()
                else:
                    ask = self._hit if step == "hit" else self._peek
                    cost = value * scale_of_cost
                    self._agree(ask(key, quota, cost), getattr(rule, step)(quota, cost, self._now))

        agrees()

    def _agree(self, actual: Verdict, expected: Verdict) -> None:
        if self.slack:
            assert (actual.allowed, actual.remaining) == (expected.allowed, expected.remaining)
        else:
            assert actual == expected
