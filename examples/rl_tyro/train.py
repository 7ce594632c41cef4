"""A policy gradient on a pole that is balanced on a cart, with its options in a dataclass.

tyro makes the command line of the dataclass, and TensorBoard gets the return of every episode, by
the step of the environment in which the episode ended.
"""

import random
import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from torch import nn, optim
from torch.distributions.categorical import Categorical
from torch.utils.tensorboard import SummaryWriter


@dataclass
class Args:
    exp_name: str = "reinforce"
    """the name of this experiment"""
    seed: int = 1
    """seed of the experiment"""
    torch_deterministic: bool = True
    """if toggled, `torch.backends.cudnn.deterministic=False`"""
    total_timesteps: int = 20000
    """total timesteps of the experiments"""
    learning_rate: float = 2.5e-3
    """the learning rate of the optimizer"""
    anneal_lr: bool = True
    """toggle learning rate annealing for policy and value networks"""
    gamma: float = 0.99
    """the discount factor gamma"""
    ent_coef: float = 0.01
    """coefficient of the entropy"""
    hidden_size: int = 32
    """width of the policy"""


class CartPole:
    """The physics of the classic control problem: keep the pole up for at most 200 steps."""

    def __init__(self, rng):
        self.rng = rng

    def reset(self):
        self.state, self.steps = self.rng.uniform(-0.05, 0.05, 4), 0
        return self.state

    def step(self, action):
        _, x_dot, theta, theta_dot = self.state
        force = 10.0 if action == 1 else -10.0
        cos, sin = np.cos(theta), np.sin(theta)
        temp = (force + 0.05 * theta_dot**2 * sin) / 1.1
        theta_acc = (9.8 * sin - cos * temp) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        x_acc = temp - 0.05 * theta_acc * cos / 1.1
        self.state = self.state + 0.02 * np.array([x_dot, x_acc, theta_dot, theta_acc])
        self.steps += 1
        terminated = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2095
        return self.state, 1.0, terminated or self.steps >= 200


if __name__ == "__main__":
    args = tyro.cli(Args)
    run_name = f"{args.exp_name}__{args.seed}__{int(time.time())}"
    writer = SummaryWriter(f"runs/{run_name}")
    writer.add_text("hyperparameters", str(vars(args)))
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.backends.cudnn.deterministic = args.torch_deterministic
    torch.set_num_threads(1)

    env = CartPole(np.random.default_rng(args.seed))
    policy = nn.Sequential(
        nn.Linear(4, args.hidden_size), nn.Tanh(), nn.Linear(args.hidden_size, 2)
    )
    optimizer = optim.Adam(policy.parameters(), lr=args.learning_rate)
    global_step, start_time = 0, time.time()
    while global_step < args.total_timesteps:
        if args.anneal_lr:
            fraction = 1.0 - global_step / args.total_timesteps
            optimizer.param_groups[0]["lr"] = fraction * args.learning_rate
        observation, done = env.reset(), False
        log_probs, entropies, rewards = [], [], []
        while not done:
            scores = policy(torch.as_tensor(observation, dtype=torch.float32))
            choice = Categorical(logits=scores)
            action = choice.sample()
            observation, reward, done = env.step(action.item())
            log_probs.append(choice.log_prob(action))
            entropies.append(choice.entropy())
            rewards.append(reward)
            global_step += 1
        print(f"global_step={global_step}, episodic_return={sum(rewards)}")
        writer.add_scalar("charts/episodic_return", sum(rewards), global_step)
        returns, total = [], 0.0
        for reward in reversed(rewards):
            total = reward + args.gamma * total
            returns.insert(0, total)
        returns = torch.tensor(returns)
        if len(returns) > 1:
            returns = (returns - returns.mean()) / (returns.std() + 1e-8)
        loss = -(torch.stack(log_probs) * returns).mean()
        loss = loss - args.ent_coef * torch.stack(entropies).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        writer.add_scalar("losses/policy_loss", loss.item(), global_step)
        writer.add_scalar("charts/SPS", global_step / (time.time() - start_time), global_step)
    writer.close()
