"""Records of evaluation runs, and everything that reads them: statistics, tables, reports."""
