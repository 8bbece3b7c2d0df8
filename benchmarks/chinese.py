"""Generated tables in Chinese: the same results, cell for cell, with their words translated.

A page and its translation have their tables from the same command: `in_chinese(table)` calls the function of the
English table, and translates what it returns by `CELLS` and `WITHIN`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

CELLS = {
    # what presets reach
    "environment": "环境",
    "steps": "步数",
    "seeds": "种子数",
    "final policy, IQM (95 %)": "最终策略，IQM（95 %）",
    "best published": "已公布的最好成绩",
    # beside other libraries
    "work": "任务",
    "a2c, steps per second": "a2c，步/秒",
    "Stable-Baselines3": "Stable-Baselines3",
    "skrl": "skrl",
    "JAX, PureJaxRL style": "JAX，PureJaxRL 写法",
    "JAX, tuned by hand": "JAX，手工调优",
    "CartPole-v1 8 x 8, Gymnasium's environment": "CartPole-v1 8 x 8，Gymnasium 的环境",
    "CartPole-v1 8 x 8, Paddle engine": "CartPole-v1 8 x 8，Paddle 引擎",
    # faults
    "fault": "故障",
    "faults": "故障次数",
    "runs": "运行次数",
    "ended in the bits of the undisturbed run": "结果与未受干扰的运行逐位一致",
    "trainer killed (SIGKILL), resumed": "训练进程被杀掉（SIGKILL），再恢复",
    "worker killed (SIGKILL)": "工作进程被杀掉（SIGKILL）",
    "environment hangs": "环境卡住",
    "process stopped (SIGSTOP) for a while": "进程暂停（SIGSTOP）一段时间",
    "several seeds at a time killed or ended, all of them or one's process, resumed": (
        "多个种子同时训练，全部或其中一个进程被杀掉或结束，再恢复"
    ),
    "no space left, at each call that writes a checkpoint": "写检查点的每次调用都遇到磁盘已满",
    "on a Ray cluster: actor killed (SIGKILL), trainer killed and resumed": (
        "Ray 集群上：actor 被杀掉（SIGKILL），训练进程被杀掉再恢复"
    ),
    "worker killed every 2 to 5 s, trainer every minute": "工作进程每 2 到 5 秒、训练进程每分钟被杀掉一次",
    # curves
    "picture": "图",
    "command": "命令",
    "final policy: median of 5 seeds (lowest to highest)": "最终策略：5 个种子的中位数（最低到最高）",
    "healthy": "健康的曲线",
    "flat": "回报一直不动",
    "collapse": "学好了，又垮掉",
    "entropy": "熵一下子就没了",
    "explained": "可解释方差停在 0",
    "noisy": "评估忽上忽下",
    "growing": "评论家的损失上升",
}
"""Whole cells."""

WITHIN = {
    r"(?<=\d) to (?=-?\d)": " 到 ",
    r"(?<=\d) of (?=\d)": " / ",
    r"(?<=\d) times\b": " 倍",
    r"(?<=\d [Mk]) steps\b": " 步",
    r"(?<=\d) seeds\b": " 个种子",
    r"read off a plot of the PPO paper": "读自 PPO 论文的图",
}
"""Parts of all other cells, but for code: what they match, and what stands there in Chinese."""


def in_chinese(table: Callable[[], str]) -> Callable[[], str]:
    """The function of a table, for a page in Chinese.

    The returned function raises:
        KeyError: A cell of the table's head has no translation.
    """

    @functools.wraps(table)
    def translated() -> str:
        head, *rows = table().splitlines()
        return "\n".join([_row(head, CELLS.__getitem__), *(_row(row, _cell) for row in rows)])

    return translated


def _row(line: str, translate: Callable[[str], str]) -> str:
    cells = line.removeprefix("| ").removesuffix(" |").split(" | ") if line.startswith("| ") else None
    return line if cells is None else f"| {' | '.join(map(translate, cells))} |"


def _cell(text: str) -> str:
    if text in CELLS:
        return CELLS[text]
    if text.startswith("`"):
        return text
    for pattern, chinese in WITHIN.items():
        text = re.sub(pattern, chinese, text)
    return text
