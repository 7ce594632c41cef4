export EXP=words
orion -v hunt --name $EXP python -u main.py --seed 3 --lr 'orion~loguniform(1e-4, 1e-1)' &
