"""An owner's service: catalogue, requests, approvals, key broker and log.

Everything it knows is in its database; the process holds nothing that another one on the same database
would need. :class:`~sls_jupyter.authority.service.Authority` is the object, ``http`` its door,
``client`` the other side of that door and ``embedded`` the one that runs in a notebook's process.
"""
