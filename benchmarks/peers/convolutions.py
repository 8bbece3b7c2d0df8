"""NatureCNN's convolutions by PyTorch on one thread, with channels first and last in memory: milliseconds as JSON."""

import argparse
import json
import time

import torch


def main():
    command_line = argparse.ArgumentParser(description=__doc__)
    command_line.add_argument("--images", type=int, required=True)
    command_line.add_argument("--rounds", type=int, required=True)
    options = command_line.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name, memory in (("torch", torch.contiguous_format), ("torch, channels last", torch.channels_last)):
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(4, 32, 8, 4), torch.nn.Conv2d(32, 64, 4, 2), torch.nn.Conv2d(64, 64, 3)]
        parts = [part for layer in layers for part in (layer, torch.nn.ReLU())]
        network = torch.nn.Sequential(*parts).to(memory_format=memory)
        images = torch.randn(options.images, 4, 84, 84).to(memory_format=memory)
        seconds = {"forward": [], "backward": []}
        for _ in range(options.rounds + 1):
            start = time.perf_counter()
            outputs = network(images)
            middle = time.perf_counter()
            outputs.backward(torch.ones_like(outputs))
            seconds["forward"].append(middle - start)
            seconds["backward"].append(time.perf_counter() - middle)
        found[name] = {way: 1e3 * min(times[1:]) for way, times in seconds.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
