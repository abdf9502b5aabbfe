"""A JMESPath expression over a response, as operators and commands take it."""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, ParseError

from airflow_imgver.exceptions import InvalidQueryError
from airflow_imgver.versions import one_line


class Query:
    """
    A JMESPath expression, compiled before anything is asked of AWS.

    :param expression: see https://jmespath.org
    :raises InvalidQueryError: it is none.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        try:
            self._compiled = jmespath.compile(expression)
        except ParseError as error:
            raise InvalidQueryError(
                f"query {one_line(expression)!r} is no JMESPath expression: "
                f"it breaks at position {error.lex_position}, see https://jmespath.org/tutorial.html"
            ) from error
        except JMESPathError as error:
            raise self._unfit(error) from error

    def search(self, response: dict[str, Any]) -> Any:
        """
        Ask the expression of a response.

        :raises InvalidQueryError: it does not fit the response.
        """
        try:
            return self._compiled.search(response)
        except JMESPathError as error:
            raise self._unfit(error) from error

    def _unfit(self, error: JMESPathError) -> InvalidQueryError:
        return InvalidQueryError(
            f"query {one_line(self._expression)!r} does not work: {one_line(str(error))}"
        )
