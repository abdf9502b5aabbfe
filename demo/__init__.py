"""The programs of `make demo` and `make up`: a real Airflow and the embedded AWS, in a scratch folder."""
