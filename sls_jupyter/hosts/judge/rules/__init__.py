"""The framework's rules, one file for each kind of question, and why each of them is denied."""
