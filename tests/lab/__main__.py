"""The kernel lab: boots real kernels, starves them, and shows that every check changes state when the kernel does."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import sys

from lab import boot, debian, initramfs, kernels, machines, verdicts
from lab.guest import cgroups, cpus, gauges, hours, limits, logs, owners, penalties, resets  # noqa: F401
from lab.guest.table import SCENARIOS
from lab.kernels import Image
from lab.mutations import MUTATIONS, Mutation


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/lab/run", description=__doc__)
    parser.add_argument(
        "--list", action="store_true", help="print the scenarios, and the kernels with where they can be had"
    )
    parser.add_argument(
        "--kernel", metavar="NAME|PATH", action="append",
        help="a kernel of the list or any image; may be repeated; default: those of the quick run",
    )  # fmt: skip
    parser.add_argument(
        "--scenario", metavar="NAME", action="append", choices=[*SCENARIOS],
        help="a scenario of the list; may be repeated; default: those of the quick run",
    )  # fmt: skip
    parser.add_argument("--full", action="store_true", help="all kernels, each with all scenarios it is asked")
    parser.add_argument(
        "--mutations", action="store_true", help="instead, show that each fault put into the package is noticed"
    )
    parser.add_argument("--capture", metavar="DIR", type=pathlib.Path, help="keep the captured fixture trees there")
    parser.add_argument("--refresh", action="store_true", help="look for newer images on the mirror")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=min(2, os.cpu_count() or 1), help="guests at a time; default: 2"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print what every check said")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.list:
        listing()
        return 0
    images = chosen_images(options)
    if options.mutations:
        return mutations(images, options)
    cells = [(name, scenario) for name in images for scenario in asked(name, options)]

    def done(verdict: verdicts.Verdict) -> None:
        print(
            f"{verdict.kernel} {verdict.scenario}: {verdict.result} ({verdict.seconds:.0f} s) {verdict.reason}",
            flush=True,
        )
        if options.verbose:
            for report in verdict.reports:
                if "ran" in report:
                    command: list[str] = report["ran"]  # type: ignore[assignment]
                    print(f"    $ {' '.join(command)}\n    {str(report['text']).strip()}")
                elif "capture" not in report:
                    print(f"    {report}")

    judged = verdicts.run(images, cells, options.jobs, done)
    releases = {name: image.release for name, image in images.items() if isinstance(image, Image)}
    if options.capture:
        verdicts.save_captures(judged, releases, options.capture)
    print(verdicts.by_kernel(judged, images))
    print(verdicts.by_scenario(judged, [*images]))
    for name, image in images.items():
        if isinstance(image, debian.Missing):
            print(f"{name} not run: {image}")
    wrong = [verdict for verdict in judged if verdict.result == verdicts.UNTRUE]
    left = [verdict for verdict in judged if verdict.result == verdicts.NOT_RUN]
    print(f"{len(judged) - len(wrong) - len(left)} ok, {len(wrong)} untrue, {len(left)} not run")
    return 1 if wrong or (left and os.environ.get("CI") == "true") else 0


def listing() -> None:
    print("kernels, with the number of scenarios of every day and of the full run, and whether they can be had today:")
    for kernel in kernels.KERNELS:
        daily, full = (sum(map(asks, SCENARIOS.values())) for asks in (kernel.daily, kernel.full))
        try:
            boot.available(kernel.machine)
            where = kernels.reach(kernel)
        except debian.Missing as reason:
            where = f"not to be had: {reason}"
        print(f"  {kernel.name:20}{daily or '-':>3} {full:3}  {kernel.machine.architecture}, {where}", flush=True)
    print("scenarios:")
    for scenario in SCENARIOS.values():
        print(f"  {scenario.name:26}{'quick' if scenario.quick else 'full':7}{scenario.shows}")


def asked(name: str, options: argparse.Namespace) -> list[str]:
    """The scenarios to run on a kernel."""
    if options.scenario:
        return list(options.scenario)
    kernel = next((kernel for kernel in kernels.KERNELS if kernel.name == name), None)
    if kernel and not (options.full or options.kernel):
        asks = kernel.daily
    else:
        asks = kernel.full if kernel else kernels.every
        if asks == kernels.every and not options.full:
            asks = kernels.quick
    return [scenario.name for scenario in SCENARIOS.values() if asks(scenario)]


def chosen_images(options: argparse.Namespace) -> dict[str, Image | debian.Missing]:
    """The images asked for by name; a kernel that cannot be had, with the reason."""
    names = options.kernel or [
        kernel.name for kernel in kernels.KERNELS if kernel.daily != kernels.none or options.full
    ]
    return {os.path.basename(name): chosen(name, options.refresh) for name in names}


def chosen(name: str, refresh: bool) -> Image | debian.Missing:
    """A kernel of the list, or an image by its path, with all that a guest of it needs; else the reason."""
    known = {kernel.name: kernel for kernel in kernels.KERNELS}
    try:
        if name not in known and not os.path.isfile(name):
            raise debian.Missing(f"there is no kernel {name} in the list and no such file")
        boot.available(known[name].machine if name in known else machines.AMD64)
        image = kernels.image(known[name], refresh) if name in known else Image(pathlib.Path(name))
        initramfs.base(image.machine, refresh)
    except debian.Missing as reason:
        return reason
    return image


def mutations(images: dict[str, Image | debian.Missing], options: argparse.Namespace) -> int:
    """Each fault must be noticed, on its own kernel, or the first that can be had: 0 if all are."""
    first = next((name for name, image in images.items() if isinstance(image, Image)), "")
    names = options.scenario or [*SCENARIOS]
    wanted = [mutation for mutation in MUTATIONS if mutation.scenario in names]
    for name in {mutation.kernel for mutation in wanted} - {""} - set(images):
        images[name] = chosen(name, options.refresh)
    package = initramfs.package()

    def result(mutation: Mutation) -> str:
        name = mutation.kernel or first
        image = images.get(name) or debian.Missing("; ".join(map(str, images.values())))
        if isinstance(image, debian.Missing):
            print(f"not run: {mutation.name}: {image}", flush=True)
            return verdicts.NOT_RUN
        verdict = verdicts.judge(name, image, SCENARIOS[mutation.scenario], mutation.apply(package))
        seen = "SURVIVED" if verdict.result == verdicts.OK else "noticed by"
        print(f"{seen} {mutation.scenario} on {name}: {mutation.name}\n    {verdict.reason[:200]}", flush=True)
        return verdict.result

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = [*pool.map(result, wanted)]
    left = results.count(verdicts.NOT_RUN)
    print(f"{results.count(verdicts.UNTRUE)} of {len(results)} faults noticed, {left} not run")
    return int(verdicts.OK in results or (left > 0 and os.environ.get("CI") == "true"))


if __name__ == "__main__":
    sys.exit(main())
