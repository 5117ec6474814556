"""Preprocessing of tables: column rules, fitted columns and scaling, encoding of rows."""
