"""What `make demo` and `make up` run: a real Airflow and the embedded AWS, in a scratch folder."""
