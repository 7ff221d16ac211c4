"""The house rules, checked: a checker is a function over a package's folder; it returns the violations.

`test_*.py` runs them on scalekit and, to show that they can fail, on small packages that break a rule.
"""
