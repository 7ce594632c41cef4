orion hunt -n small --max-trials=10 ./main.py --alpha~'uniform(-3, 5)' --size~'choices(8, 16, 32)'
