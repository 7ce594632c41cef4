#!/bin/bash
#SBATCH --array=1-4

source env/bin/activate

orion hunt -n encoder -c orion.yaml --exp-max-trials 40 \
    python train.py fit --verbose \
    --lr~'loguniform(1e-5, 1.0)' \
    --width~"uniform(16, 128, discrete=True)" \
    --act~"choices(['relu', 'gelu'])" \
    --pool~"choices({'max': 0.25, 'mean': 0.75})" \
    --dropout~'uniform(0, 0.5, precision=2, default_value=0.1)' \
    --epochs~'fidelity(1, 16, base=4)' > log.txt
