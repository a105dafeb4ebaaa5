import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.evaluation.ijb_files import read_ijb


def write(folder, name="ijbc", **changed):
    lists = {
        "face_tid_mid.txt": "1.jpg 10 7\n2.jpg 10 7\n3.jpg 20 9\n",
        "name_5pts_score.txt": "".join(f"{n}.jpg {' '.join(str(n + i) for i in range(10))} 0.{n}\n" for n in (1, 2, 3)),
        "template_pair_label.txt": "10 20 0\n20 10 1\n10 10 1\n",
        "1N_gallery_G1.csv": "TEMPLATE_ID,SUBJECT_ID,FILENAME\n10,5,a.jpg\n10,5,b.jpg\n",
        "1N_gallery_G2.csv": "TEMPLATE_ID,SUBJECT_ID,FILENAME\n20,6,c.jpg\n",
        "1N_probe_mixed.csv": "TEMPLATE_ID,SUBJECT_ID,FILENAME\n20,6,c.jpg\n10,5,a.jpg\n",
    }
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    for rest, text in lists.items():
        text = changed.get(rest.split(".")[0], text)
        if text is not None:
            (folder / "meta" / f"{name}_{rest}").write_text(text)
    return str(folder)


@pytest.mark.parametrize("name", ["ijbb", "ijbc"])
def test_all_lists_are_read(tmp_path, name):
    lists = read_ijb(write(tmp_path, name))
    assert lists.name == name
    assert [image.rsplit("/", 2)[1:] for image in lists.images] == [["loose_crop", f"{n}.jpg"] for n in (1, 2, 3)]
    assert lists.template_ids.tolist() == [10, 10, 20]
    assert lists.media_ids.tolist() == [7, 7, 9]
    assert lists.landmarks.shape == (3, 5, 2)
    assert lists.landmarks[1].tolist() == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    np.testing.assert_allclose(lists.detector_scores, [0.1, 0.2, 0.3])
    assert lists.pairs.tolist() == [[10, 20], [20, 10], [10, 10]]
    assert lists.issame.tolist() == [False, True, True]
    assert set(lists.galleries) == {"G1", "G2"}
    assert [column.tolist() for column in lists.galleries["G1"]] == [[10], [5]]
    assert [column.tolist() for column in lists.probes] == [[10, 20], [5, 6]]


def test_only_the_list_of_templates_is_required(tmp_path):
    missing = dict.fromkeys(("name_5pts_score", "template_pair_label", "1N_gallery_G1", "1N_gallery_G2", "1N_probe_mixed"))
    lists = read_ijb(write(tmp_path, **missing))
    assert lists.landmarks is lists.pairs is lists.probes is None
    assert lists.galleries == {}


@pytest.mark.parametrize("end", ["", "\n", "\n\n", " \r\n"])
def test_any_line_ending_and_galleries_without_a_header_are_read(tmp_path, end):
    pairs = {"template_pair_label": "10 20 0\r\n\n20  10\t1" + end, "1N_gallery_G1": "10,5\n20,6" + end}
    lists = read_ijb(write(tmp_path, **pairs))
    assert lists.pairs.tolist() == [[10, 20], [20, 10]]
    assert lists.galleries["G1"][1].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"face_tid_mid": None}, "must contain either"),
        ({"face_tid_mid": "1.jpg 10\n"}, r"line 1 has 2 columns \(expected 3\)"),
        ({"face_tid_mid": "1.jpg ten 7\n"}, "is not an integer"),
        ({"name_5pts_score": "1.jpg 1 2\n"}, "expected 12"),
        ({"name_5pts_score": "9.jpg" + " 1" * 11 + "\n"}, "in the order of the list of templates"),
        ({"template_pair_label": "10 20 0\n10 20\n"}, "damaged"),
        ({"template_pair_label": "10 20 0\n10 x 1\n"}, "damaged"),
        ({"template_pair_label": "10 20 0\n10 20 3\n"}, "line 2 ends in 3"),
        ({"template_pair_label": "1 2\n1 3 4 0\n"}, "damaged"),
        ({"template_pair_label": "10 20 0\n20 10 1\nabc"}, "damaged"),
        ({"template_pair_label": "10 99999999999999999999999 0\n"}, "damaged"),
        ({"template_pair_label": ""}, "damaged"),
        ({"1N_gallery_G1": "T,S\n"}, "a template and a subject"),
        ({"1N_gallery_G1": "T,S\n10,5\n10,6\n"}, "two subjects"),
        ({"1N_probe_mixed": "T,S\n10,five\n"}, "is not an integer"),
    ],
)
def test_a_damaged_list_is_reported_with_its_path(tmp_path, change, words):
    with pytest.raises(GluonFRError, match=words) as caught:
        read_ijb(write(tmp_path, **change))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
