# An image with raysweep, for KubeRay. Build it in the repository, then one with your own code on it:
#   docker build --tag raysweep .
#   printf 'FROM raysweep\nCOPY . /sweep\n' | docker build --tag me/sweep:1 --file - ~/my-sweep
# PyTorch's wheels bring CUDA; the nodes need NVIDIA's driver alone.
FROM python:3.12-slim-bookworm

# KubeRay's probes call wget; hpbandster's netifaces is compiled.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential procps wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/raysweep
COPY pyproject.toml constraints.txt README.md LICENSE run_sweep.py ./
COPY raysweep raysweep
COPY search_spaces search_spaces
COPY schedulers schedulers
COPY tune tune
COPY trainables trainables
COPY results results
RUN pip install --no-cache-dir --constraint constraints.txt --editable .

# Where the train function and the sweep's file are: the pods run their commands here.
WORKDIR /sweep
ENV PYTHONUNBUFFERED=1
