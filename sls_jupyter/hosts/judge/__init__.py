"""What a confidential utility VM would say to a group's start: Microsoft's policy framework, judged in Python.

``reading`` reads a policy's bytes, ``values`` compares as Rego does, ``machine`` has what the utility VM brings
along, ``versions`` what a policy's versions leave out, ``state`` what has happened so far. ``devices``,
``containers`` and ``fragments`` hold the rules, ``reasons`` the framework's texts, ``words`` what they mean.
``deciding`` puts them together; ``starts`` says how the platform starts a container of ours.
"""
