"""What happened: a log that nobody can rewrite unseen (RFC 9162; C2SP ``tlog-tiles``, ``tlog-checkpoint``, ``signed-note``,
``tlog-cosignature``, ``tlog-witness``).

``merkle`` hashes and verifies, ``tree`` keeps the tree as tiles and proves, ``tiles`` lays them out,
``note`` and ``checkpoint`` sign, ``entries`` says what may be logged, ``proofs`` puts an entry and its
proof into one document, ``memory`` is what a client remembers of each log, ``chain`` links one run's records.
``publish`` writes a log to a place where others can read it, ``reader`` reads one back entry by entry,
``cosignature`` and ``witness`` are how others vouch that a log showed everybody the same.
"""
