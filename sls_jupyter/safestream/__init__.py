"""One execution: where it may run, its launch, and what comes back.

The SafeStream Manager plans, places, launches and watches. It never holds a key: keys go from an
authority to the measured group, results from the group to the recipients.
"""
