"""
Histories: flow runs in which what may go wrong goes wrong at random, in one process.

`drawn` says what happens in one, by its seed; `flow` is the flow whose body does it; `world` is
what it runs in; `found` is what may not be found afterwards.
"""
