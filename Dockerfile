# rnncli without a GPU. The folder it works in is /work:
#   docker build -t rnncli .
#   docker run --rm -it -v "$PWD:/work" --user "$(id -u):$(id -g)" rnncli train hello
FROM python:3.13-slim

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE ./
COPY rnncli rnncli
COPY recipes recipes
RUN pip install --constraint constraints.txt '.[plot,images,report,sweep,translation,parquet]'

# Whoever runs it: caches go where everybody may write.
RUN useradd --create-home rnncli && mkdir -m 1777 /work /cache
ENV RNNCLI_CACHE=/cache MPLCONFIGDIR=/cache/matplotlib
USER rnncli
WORKDIR /work
ENTRYPOINT ["rnncli"]
