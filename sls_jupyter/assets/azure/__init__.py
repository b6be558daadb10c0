"""Sealed parts in Azure Blob Storage: how a place is spelt, whose credential opens it, and who may read for how long.

===============  ====================================================================
``place``        a folder's URL in its one complete spelling; no network, no credential
``account``      the storage account that this machine's environment opens
``store``        an account's containers as an fsspec file system
``read_pass``    a short-lived right to read an asset's parts, checked by who gets it
``minting``      how an owner's authority makes one
===============  ====================================================================
"""
