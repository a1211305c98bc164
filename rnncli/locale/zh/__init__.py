"""Chinese: the English text of a `tr(...)` call -> what is shown. A file for each room of the house.

Words are those of Chinese courses on PyTorch: 隐藏状态, 序列长度, 批, 词元, 梯度消失. Every text fits GBK.
"""

from rnncli.locale.zh import (
    base,
    bench,
    cli,
    data,
    demo,
    doctor,
    pages,
    recipe,
    report,
    sweep,
    tasks,
    training,
    views,
    words,
)

TEXTS: dict[str, str] = {
    **base.TEXTS,
    **bench.TEXTS,
    **cli.TEXTS,
    **data.TEXTS,
    **demo.TEXTS,
    **doctor.TEXTS,
    **pages.TEXTS,
    **recipe.TEXTS,
    **report.TEXTS,
    **sweep.TEXTS,
    **tasks.TEXTS,
    **training.TEXTS,
    **views.TEXTS,
    **words.TEXTS,
}
