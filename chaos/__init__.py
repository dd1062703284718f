"""`make chaos`: the real service, and everything that happens to it.

An act (`killing`, `outages`, …) does something to a running `Service` so many times and writes what it saw into a `Report`;
the `oracle` then reads from a log of effects whether anything was lost, doubled or left over.
"""
