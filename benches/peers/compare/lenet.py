"""The tables of training: an epoch with its evaluation, the evaluation by itself, and the memory."""

import peers
from rounds import Rounds, markdown, median, note, ratio, start_all, threads_text

STEPS = 235  # of an epoch: 60,000 images in batches of 256
WARM_UP = 24


def plain(threads_list, rounds):
    for threads in threads_list:
        print(table("LeNet", "lenet", threads, rounds), flush=True)


def batch_norm(threads_list, rounds):
    for threads in threads_list:
        print(table("LeNet with batch norm", "lenet-batch-norm", threads, rounds), flush=True)


def table(title, net, threads, rounds):
    trainers = {trainer.name: trainer for trainer in peers.trainers(net, threads)}
    losses = {}

    def start(trainer):
        worker = trainer.start()
        worker.name = trainer.name
        return worker

    def warm_up(worker):
        """A tenth of an epoch, in which libraries compile, allocate and look for their fastest kernels."""
        seconds, loss = worker.ask("train", WARM_UP)
        losses[worker.name] = [loss]
        evaluation, _ = worker.ask("evaluate")
        note(f"{worker.name}: warm after {seconds:.1f} and {evaluation:.1f} s")

    def measure(worker, number):
        trainer = trainers[worker.name]
        if number % trainer.every:
            return None
        seconds, loss = worker.ask("train", trainer.steps)
        losses[worker.name].append(loss)
        evaluation, accuracy = worker.ask("evaluate")
        note(f"round {number + 1} of {rounds}, {worker.name}: {seconds:.3f} s, loss {loss:.4f}, accuracy {accuracy:.3f}")
        return seconds * STEPS / trainer.steps + evaluation, evaluation

    workers = start_all([lambda trainer=trainer: start(trainer) for trainer in trainers.values()], warm_up)
    turns = Rounds(workers, rounds)
    samples = turns.alternate(measure)
    memory = [worker.ask("memory")[0] for worker in workers]
    for worker in workers:
        worker.close()
        if not losses[worker.name][-1] < losses[worker.name][0]:
            note(f"{worker.name} does not learn: its losses are {losses[worker.name]}")

    def parts(row, part):
        return [sample and sample[part] for sample in row]

    own = samples[0]
    rows = []
    for worker, row, most in zip(workers, samples, memory):
        whole, evaluation = parts(row, 0), parts(row, 1)
        measured = [sample for sample in whole if sample is not None]
        rows.append(
            [
                worker.name,
                f"{median(whole):.2f}",
                f"{min(measured):.2f} to {max(measured):.2f}",
                f"{ratio(whole, parts(own, 0)):.1f}",
                f"{median(evaluation):.3f}",
                f"{ratio(evaluation, parts(own, 1)):.1f}",
                f"{most / 1e6:.0f}",
            ]
        )
    header = ["", "epoch + evaluation, s", "least to most", "× tapegrad", "evaluation, s", "× tapegrad", "peak memory, MB"]
    return f"### {title}, {threads_text(threads)}\n\n{markdown(header, rows)}\n\n{turns.others.text()}\n"
