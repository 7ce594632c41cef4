"""A small language model of characters, with an option parser of its own.

Every constant below is an option: `python train.py --learning_rate=1e-3 --compile=False`, or the
name of a file that sets some of them. The unit of everything is a step.
"""

import argparse as _source  # the text that it learns is the source of this module
import math
import os
import sys
import time
from ast import literal_eval

import torch
from torch import nn
from torch.nn import functional as F

# -----------------------------------------------------------------------------
# I/O
out_dir = "out"
eval_interval = 50
eval_iters = 5
log_interval = 10
always_save_checkpoint = False
init_from = "scratch"  # 'scratch' or 'resume'
# data
batch_size = 16
block_size = 32
# model
n_layer = 2
n_head = 2
n_embd = 32
dropout = 0.0
bias = False
# optimizer
learning_rate = 1e-3
max_iters = 500
weight_decay = 1e-1
beta2 = 0.99
grad_clip = 1.0
# learning rate decay
decay_lr = True
warmup_iters = 20
min_lr = 1e-4
# system
device = "cpu"
compile = False
seed = 1337
# -----------------------------------------------------------------------------
config_keys = [
    name
    for name, value in globals().items()
    if not name.startswith("_") and isinstance(value, (int, float, bool, str))
]
for argument in sys.argv[1:]:
    if "=" not in argument or not argument.startswith("--"):
        raise SystemExit(f"expected --name=value, got {argument}")
    key, _, text = argument[2:].partition("=")
    if key not in config_keys:
        raise SystemExit(f"Unknown config key: {key}")
    try:
        value = literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    assert type(value) is type(globals()[key]), (key, value)
    print(f"Overriding: {key} = {value}")
    globals()[key] = value
# -----------------------------------------------------------------------------

torch.manual_seed(seed)
with open(_source.__file__, encoding="utf-8") as file:
    text = file.read()
chars = sorted(set(text))
data = torch.tensor([chars.index(char) for char in text])
split = int(0.9 * len(data))
train_data, val_data = data[:split], data[split:]


def get_batch(split):
    source = train_data if split == "train" else val_data
    starts = torch.randint(len(source) - block_size, (batch_size,))
    x = torch.stack([source[i : i + block_size] for i in starts])
    y = torch.stack([source[i + 1 : i + 1 + block_size] for i in starts])
    return x.to(device), y.to(device)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = (nn.LayerNorm(n_embd, bias=bias) for _ in range(2))
        self.attn = nn.MultiheadAttention(n_embd, n_head, dropout, bias=bias, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd, bias=bias),
            nn.GELU(),
            nn.Linear(4 * n_embd, n_embd, bias=bias),
            nn.Dropout(dropout),
        )

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1), device=x.device)
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, attn_mask=mask, is_causal=True, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(len(chars), n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.blocks = nn.Sequential(*(Block() for _ in range(n_layer)))
        self.lm_head = nn.Linear(n_embd, len(chars), bias=False)

    def forward(self, idx, targets):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1), device=idx.device))
        logits = self.lm_head(self.blocks(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


model = GPT().to(device)
print(f"number of parameters: {sum(p.numel() for p in model.parameters()) / 1e6:.2f}M")
if compile:
    model = torch.compile(model)
optimizer = torch.optim.AdamW(
    model.parameters(), lr=learning_rate, weight_decay=weight_decay, betas=(0.9, beta2)
)

iter_num, best_val_loss = 0, 1e9
if init_from == "resume":
    print(f"Resuming training from {out_dir}")
    checkpoint = torch.load(os.path.join(out_dir, "ckpt.pt"), weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    iter_num, best_val_loss = checkpoint["iter_num"], checkpoint["best_val_loss"]


@torch.no_grad()
def estimate_loss():
    model.eval()
    out = {
        split: torch.stack([model(*get_batch(split)) for _ in range(eval_iters)]).mean().item()
        for split in ("train", "val")
    }
    model.train()
    return out


def get_lr(step):
    if step < warmup_iters:
        return learning_rate * (step + 1) / (warmup_iters + 1)
    ratio = min(1.0, (step - warmup_iters) / max(1, max_iters - warmup_iters))
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * ratio)) * max(0.0, learning_rate - min_lr)


t0 = time.time()
while True:
    lr = get_lr(iter_num) if decay_lr else learning_rate
    for group in optimizer.param_groups:
        group["lr"] = lr
    if iter_num % eval_interval == 0:
        losses = estimate_loss()
        print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
        if losses["val"] < best_val_loss or always_save_checkpoint:
            best_val_loss = min(best_val_loss, losses["val"])
            if iter_num > 0:
                os.makedirs(out_dir, exist_ok=True)
                print(f"saving checkpoint to {out_dir}")
                torch.save(
                    {
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "iter_num": iter_num,
                        "best_val_loss": best_val_loss,
                    },
                    os.path.join(out_dir, "ckpt.pt"),
                )
    if iter_num >= max_iters:
        break
    loss = model(*get_batch("train"))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if grad_clip != 0.0:
        nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    if iter_num % log_interval == 0:
        dt, t0 = time.time() - t0, time.time()
        print(f"iter {iter_num}: loss {loss.item():.4f}, time {dt * 1000:.2f}ms")
    iter_num += 1
