"""pycasbin's figures, run by its own environment: seconds of each decision as JSON. Called by benchmarks/policy.py.

The same rules as far as its model can say them: a role may do an action on all of an organization's assets, and what a
rule denies is denied. Principals have roles. Everything is in memory, which is where it is fastest.
"""

from __future__ import annotations

import json
import sys
import time

import casbin

MODEL = """
[request_definition]
r = sub, act, org
[policy_definition]
p = sub, act, org, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && r.act == p.act && r.org == p.org
"""


def main() -> None:
    """Reads `{policies, roles, requests}` from stdin, prints `{times, allowed}`."""
    given = json.load(sys.stdin)
    model = casbin.Enforcer.new_model(text=MODEL)
    enforcer = casbin.Enforcer(model)
    enforcer.add_policies(given["policies"])
    enforcer.add_grouping_policies(given["roles"])
    times, allowed = [], 0
    for request in given["requests"]:
        began = time.perf_counter()
        allowed += enforcer.enforce(*request)
        times.append(time.perf_counter() - began)
    json.dump({"times": times, "allowed": allowed}, sys.stdout)


main()
