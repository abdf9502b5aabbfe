"""A JMESPath expression over a response, as operators and commands take it."""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, ParseError

from airflow_imgver.exceptions import InvalidQueryError
from airflow_imgver.text import as_plain, one_line, sentence


class Query:
    """
    A JMESPath expression, compiled before any request to AWS.

    :param expression: see https://jmespath.org
    :raises InvalidQueryError: it is not a JMESPath expression.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        try:
            self._compiled = jmespath.compile(expression)
        except ParseError as error:
            raise InvalidQueryError(
                f"query {one_line(expression)!r} is not a JMESPath expression: "
                f"the error is at position {error.lex_position}, see https://jmespath.org/tutorial.html."
            ) from error
        except JMESPathError as error:
            raise self._unfit(error) from error

    def search(self, response: dict[str, Any]) -> Any:
        """
        Apply the expression to a response.

        :return: the result as plain JSON values: ``to_number`` makes NaN and the infinities of a text.
        :raises InvalidQueryError: it does not fit the response.
        """
        try:
            return as_plain(self._compiled.search(response))
        except JMESPathError as error:
            raise self._unfit(error) from error

    def _unfit(self, error: JMESPathError) -> InvalidQueryError:
        return InvalidQueryError(
            f"query {one_line(self._expression)!r} cannot be evaluated: {sentence(str(error))}"
        )
