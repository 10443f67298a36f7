"""Imports: send a file, see how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from chats.models import ImportJob
from chats.models.importing import PART_BYTES
from chats.serializers.importing import ImportSerializer, StopImportSerializer
from chats.tasks import import_chats
from chats.views import TOKEN_OR_SESSION
from proxy.common.access import user_of
from proxy.common.web.drf import Conflict, caller_id, responses

MOST_SHOWN = 20
_MULTIPART = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
}


class ImportsView(GenericAPIView[ImportJob]):
    """The caller's imports."""

    serializer_class = ImportSerializer
    parser_classes = [MultiPartParser]
    pagination_class = None
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(
        operation_id="imports", responses=responses(401, 403, _200=ImportSerializer(many=True))
    )
    def get(self, request: Request) -> Response:
        """List the caller's last imports, newest first."""
        jobs = ImportJob.objects.of(user_of(request))[:MOST_SHOWN]
        return Response(self.get_serializer(jobs, many=True).data)

    @extend_schema(
        operation_id="import_chats",
        request={
            "application/octet-stream": OpenApiTypes.BINARY,
            "multipart/form-data": _MULTIPART,
        },
        responses=responses(400, 401, 403, 409, 413, _202=ImportSerializer),
    )
    def post(self, request: Request) -> Response:
        """Import a file of ChatGPT, Open WebUI, LibreChat or ours: JSON, JSON lines, or a zip.

        It is sent as it is, or as the part `file` of a form. The import goes on in the background;
        what was imported before is not imported again.
        """
        try:
            job = ImportJob.begin(caller_id(request), _chunks(_file_in(request)))
        except IntegrityError:
            raise Conflict({"errors": ["Another import of yours is not finished yet."]})
        import_chats.delay_on_commit(str(job.pk))
        return Response(self.get_serializer(job).data, status=status.HTTP_202_ACCEPTED)


class ImportView(GenericAPIView[ImportJob]):
    """One import of the caller's."""

    serializer_class = ImportSerializer
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(operation_id="import", responses=responses(401, 403, 404, _200=ImportSerializer))
    def get(self, request: Request, job_id: str) -> Response:
        """Show how far an import is, and what was left out and why."""
        job = get_object_or_404(ImportJob.objects.of(user_of(request)), pk=job_id)
        return Response(self.get_serializer(job).data)


class StopImportView(GenericAPIView[ImportJob]):
    """The end of an import before its time."""

    serializer_class = StopImportSerializer
    required_scope = "chat"
    authentication_classes = TOKEN_OR_SESSION

    @extend_schema(
        operation_id="stop_import",
        responses=responses(400, 401, 403, 404, 409, _202=ImportSerializer),
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Stop an import, and keep or delete what it has imported; its `state` says when it has."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        jobs = ImportJob.objects.of(user_of(request)).filter(pk=job_id)
        get_object_or_404(jobs)
        if not jobs.request_stop(keep=serializer.validated_data["keep"]):
            raise Conflict({"errors": ["This import has ended already."]})
        # Where nobody works on it yet, or any more, it is ended by this.
        import_chats.delay_on_commit(str(job_id))
        return Response(ImportSerializer(jobs.get()).data, status=status.HTTP_202_ACCEPTED)


def _file_in(request: Request) -> Any:
    """Return the file that was sent, to be read from."""
    if not (request.content_type or "").startswith("multipart/"):
        return request._request
    if "file" not in request.FILES:
        raise ValidationError({"file": ["Send the file as the part 'file'."]})
    return request.FILES["file"]


def _chunks(file: Any) -> Iterator[bytes]:
    """Yield a file in pieces; raises ValidationError for an empty or a too large one."""
    size = 0
    while chunk := file.read(PART_BYTES):
        size += len(chunk)
        if size > settings.CHAT_IMPORT_MAX_BODY:
            raise ValidationError({"file": ["The file is larger than may be imported."]})
        yield chunk
    if not size:
        raise ValidationError({"file": ["The file is empty."]})
