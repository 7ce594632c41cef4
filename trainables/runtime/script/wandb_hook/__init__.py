"""Makes a W&B program run offline with the parameters of this sweep, unchanged.

This folder comes first on the `PYTHONPATH` of a script, so that Python imports its `sitecustomize`
when it starts. That watches for `import wandb` and does nothing else, then imports the user's own
`sitecustomize`. The other modules are imported when the script imports wandb.

The modules run in the script's own Python, which may be an older one than ours and does not have
this package: they import nothing but the standard library and each other, and their names must not
be those of a user's modules.
"""
