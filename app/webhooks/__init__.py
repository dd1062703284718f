"""Webhooks by the Standard Webhooks specification 1.0: how messages are signed, where they may go, how they are sent and when again."""
