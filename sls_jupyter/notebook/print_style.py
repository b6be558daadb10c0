"""The looks of a page that is read on paper: A4, black on white, long digests in lines of their own."""

from __future__ import annotations

import re

PRINT_STYLE = """
@page{size:A4;margin:17mm 16mm 19mm 18mm}
*{box-sizing:border-box}
html{background:#fff;color:#000;-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{margin:0;font:9.2pt/1.42 "Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:176mm;margin:0 auto}
@media screen{main{padding:14mm 6mm}}
p{margin:0 0 1.6mm;orphans:3;widows:3}
code,pre{font:7.7pt/1.45 Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
header{border-bottom:.6pt solid #000;margin:0 0 5mm;padding:0 0 2mm}
.kind{display:flex;justify-content:space-between;margin:0;font-size:8.2pt;letter-spacing:.06em;text-transform:uppercase}
.kind span{letter-spacing:0;text-transform:none}
h1{font-size:20pt;line-height:1.2;font-weight:600;margin:1mm 0 .5mm}
h1 code{font-size:18pt;font-weight:400}
.purpose{font-size:10.5pt;margin:0;overflow-wrap:anywhere}
.verdict{border:1.4pt solid #000;border-left-width:5pt;padding:3mm 4.5mm 2mm;margin:0 0 6mm;break-inside:avoid}
.verdict.good{border-color:#1b6e2c}.verdict.bad{border-color:#a11}.verdict.none{border-style:dashed;border-left-style:solid}
.word{display:flex;align-items:center;gap:5mm;font-size:17pt;font-weight:700;line-height:1.2;margin:0 0 1.5mm}
.stamp{border:1.2pt dashed #000;font-size:11pt;letter-spacing:.12em;padding:.6mm 2.4mm}
section{margin:0 0 5.5mm}
h2{font-size:11.5pt;font-weight:600;margin:0 0 1.8mm;padding:0 0 .7mm;border-bottom:.4pt solid #888;break-after:avoid}
h3{font-size:9.4pt;font-weight:600;margin:3mm 0 1mm;break-after:avoid}
h3+p,section>p:first-of-type{break-after:avoid}
.warn{border:1.2pt solid #000;border-left-width:5pt;padding:1.8mm 3mm;margin:0 0 2mm;break-inside:avoid;
font-weight:600}
dl{display:grid;grid-template-columns:38mm 1fr;gap:.7mm 4mm;margin:0 0 2mm}
dt{color:#333}dd{margin:0;grid-column:2;overflow-wrap:anywhere}
dt,dd{break-inside:avoid}
ul{margin:0 0 2mm;padding-left:5mm}
table{width:100%;table-layout:fixed;border-collapse:collapse;margin:0 0 2.5mm;font-size:8.2pt;line-height:1.36}
thead{display:table-header-group}
tr{break-inside:avoid}
th,td{text-align:left;vertical-align:top;padding:1mm 2.5mm 1mm 0;overflow-wrap:anywhere;border-bottom:.3pt solid #bbb}
th{font-weight:600;border-bottom:.8pt solid #000}
td code{font-size:6.9pt}
pre{white-space:pre-wrap;border:.4pt solid #888;padding:2mm 3mm;margin:0 0 2mm;break-inside:avoid}
.sls-chip{white-space:nowrap}.sls-bad{font-weight:700}
.checks th:nth-child(1){width:7mm}.checks th:nth-child(2){width:14mm}.checks th:nth-child(3){width:36mm}
.inputs dl,.limits,.yourself{break-inside:avoid}
article.cell{break-before:page}
.chain th:nth-child(1){width:10mm}.chain th:nth-child(2){width:27mm}.chain th:nth-child(3){width:42mm}
.results th:nth-child(1){width:52mm}
.logs th:nth-child(1){width:13mm}.logs th:nth-child(2){width:33mm}.logs th:nth-child(3){width:35mm}
.records th:nth-child(1){width:7mm}.records th:nth-child(2){width:35mm}.records th:nth-child(3){width:19mm}
.records th:nth-child(4){width:31mm}
"""


def page_footer(run: str, receipt: str) -> str:
    """What stands below every printed page: run, receipt and number.

    Args:
        receipt: its digest, or nothing.
    """
    known = [f"Run {run}"] if re.fullmatch(r"[0-9a-f]{1,64}", run) else []
    known += [f"receipt {receipt}"] if re.fullmatch(r"sha256:[0-9a-f]{64}", receipt) else []
    font = 'font:6.8pt "Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;vertical-align:top'
    return (
        f'@page{{@bottom-left{{content:"{"  ·  ".join(known)}";{font};padding-top:3mm;white-space:nowrap}}'
        f'@bottom-right{{content:counter(page) " / " counter(pages);{font};padding-top:3mm}}}}'
    )
