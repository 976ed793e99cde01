"""`fastdl check --self-test`: kernels with known defects, which the judge must kill.

patch*.py and build.py: defects of copies of the C++ sources, in a test extension.
wrapp*.py: defects around native kernels. gradients.py: defects of vjps.
harnesses.py: the rules of other harnesses. selftest.py judges, kill_table.py prints.
"""
