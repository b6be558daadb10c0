"""What happened: a log that nobody can rewrite unseen (RFC 9162; C2SP ``tlog-tiles``, ``tlog-checkpoint``, ``signed-note``).

``merkle`` hashes and verifies, ``tree`` keeps the tree as tiles and proves, ``tiles`` lays them out,
``note`` and ``checkpoint`` sign, ``entries`` says what may be logged, ``proofs`` puts an entry and its
proof into one document, ``memory`` is what a client remembers of each log, ``chain`` links one run's records.
"""
