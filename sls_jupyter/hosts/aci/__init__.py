"""Confidential container groups on Azure Container Instances (ACI).

``template`` is the one way from a group to a resource of Azure Resource Manager (ARM), ``export`` writes it as a
file, ``arm`` makes the calls, ``launch`` runs a group, ``denials`` says what Azure said, ``preflight`` tries all that
a run rests on, ``sweep`` finds what a crash left behind. The Azure packages are an extra and are imported when used.

None of this has met Azure: it is tried against a stand-in made from the published types and recorded answers.
"""
