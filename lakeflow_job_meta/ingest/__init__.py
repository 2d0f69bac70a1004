"""YAML into rows and back.

Belongs here: one file a dialect (`modules`), finding the files of a folder, what a load changes (`merge`, pure), the
load itself, its report, the export. Doesn't: YAML's syntax (`reader`), what rows mean for jobs (`compile`), how rows
are stored (`store`).
"""
