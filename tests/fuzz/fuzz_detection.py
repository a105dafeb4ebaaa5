"""Readers of annotated photos, packed detection sets and saved detectors."""

import os

import numpy as np
from blobs import picture
from fuzz_sets import folder_of, write
from fuzz_weights import set_sha256
from target import Target

from gluonfr.data.detection.annotations import read_annotations
from gluonfr.data.detection.folder import read_detection_folder
from gluonfr.data.detection.records import DetectionRecords, pack_detection
from gluonfr.data.images import encode
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard, build_network, load_detector, save_detector

WIDER = "0--Parade/a.jpg\n2\n1 2 20 20 0 0 0 0 0 0\n4 5 9 9 0 0 0 1 0 0\nb.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
LABELS = "# a.jpg\n10 20 30 40 1 2 0 3 4 0 5 6 0 7 8 0 9 9 0 0.5\n# b.jpg\n1 2 3 4\n"
VOC = "<annotation><filename>a.jpg</filename><size><width>32</width><height>32</height></size><object><name>face</name>"
VOC += (
    "<difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>22</ymax></bndbox></object></annotation>"
)
COCO = '{"images": [{"id": 1, "file_name": "a.jpg", "width": 32, "height": 32}], "categories": [{"id": 1, "name": "face"}], '
COCO += '"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 20, 20], "iscrowd": 0}]}'


def annotation_seeds(folder):
    for name, content in (("wider.txt", WIDER), ("label.txt", LABELS), ("a.xml", VOC), ("coco.json", COCO)):
        write(folder_of(folder, name), name, content=content)


def read_labels(folder):
    for name in sorted(os.listdir(folder)):
        read_annotations(folder if name.endswith(".xml") else os.path.join(folder, name))


def detection_set_seeds(folder):
    root = folder_of(folder, "photos")
    os.makedirs(os.path.join(root, "images"))
    write(root, "images", "a.jpg", content=encode(np.tile(picture(1, 1), (2, 2, 1))))
    write(root, "label.txt", content="# a.jpg\n10 20 30 30\n")
    packed = folder_of(folder, "packed")
    pack_detection(read_annotations(os.path.join(root, "label.txt")), os.path.join(root, "images"), packed)
    table = "image,face,easy,medium,hard,invalid\na.jpg,0,1,1,1,0\n"
    for name, content in (("table", table), ("matlab", "")):
        listed = folder_of(folder, name)
        write(listed, "label.txt", content="# e/a.jpg\n10 20 30 30\n" if name == "matlab" else "# a.jpg\n10 20 30 30\n")
        if content:
            write(listed, "subsets.csv", content=content)
    for subset in ("easy", "medium", "hard"):
        _write_matlab(os.path.join(folder, "matlab", f"wider_{subset}_val.mat"))


def _cell(*values):
    cell = np.empty((len(values), 1), object)
    cell[:, 0] = values
    return cell


def _write_matlab(path):
    from scipy.io import savemat

    numbers = np.array([[1]])
    lists = {"event_list": _cell("e"), "file_list": _cell(_cell("a")), "gt_list": _cell(_cell(numbers))}
    savemat(path, lists)


def read_detection_set(folder):
    if os.path.exists(os.path.join(folder, "label.txt")):
        faces = read_detection_folder(folder)
        for number in range(len(faces.faces) if os.path.isdir(os.path.join(folder, "images")) else 0):
            faces.read(number)
    else:
        records = DetectionRecords(folder)
        for number in range(len(records)):
            records.read(number)


def detector_seeds(folder):
    card = DetectorCard(channels=8)
    net = build_network(card)
    assert isinstance(net, RetinaFaceNetwork)
    net.initialize()
    import mxnet as mx

    net(mx.nd.zeros((1, 3, 64, 64)))
    save_detector(net, folder_of(folder, "detector"), card)


def correct_detector(folder):
    set_sha256(os.path.join(folder, "detector.json"), os.path.join(folder, "detector.params"))


TARGETS = {
    "annotations": Target(annotation_seeds, read_labels),
    "detection_set": Target(detection_set_seeds, read_detection_set),
    "detector": Target(detector_seeds, load_detector, correct_detector),
}
