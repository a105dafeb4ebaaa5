"""A real HEIC file: read where pi-heif is installed, otherwise left out with the reason."""

import base64
import importlib.util
import sys
import zlib

import numpy as np
import pytest

from gluonfr.photos import reading
from gluonfr.photos.faces import pictures

# 48x64 pixels stored, gray with a red upper left corner, and the EXIF orientation of a phone that is held upright.
HEIC = zlib.decompress(
    base64.b85decode(
        "c-muNV30{GsVvAy%}izhg51nBLl8SRGck>Uf$>CcYDppk1Sn>t<P<^K3<a6VB@Af5Br_);Y>0~k0}}%yh{gB@LIXhzPz(r|Jm4ZKKx~njn"
        "U@CUfn-I2oK&zfpqh-bWJ3ldK}L`g*NRNAa=wDhl3WI;N=Ej~f}#Q-`&ni|az2nQ1L}2VWCjUM04tLF!0_kqj~@&S{LBeJ9TE<VJdFSUgA"
        "_1>R4{{(+%6`EM4+UW6C)#<%mRf*)@iSvEZez*Bf~%eD8vjR7!;F$%Gq2P4;CNj1X?1ToS##amz+}p6y;@LYXAy~WEK~sLcQw%#Tv;ui3L"
        "zLC@2h|G&m6c|Ns918W;ivnH8BJL1qpP4j{#uS(IM_bPt1MW<f42QWzN+*&3OcSzFqG9I4Er)HJ9BUvf%uGB_GQW_RSKB!c2ALW6O=aKl"
        "r>@Bg>|w7<XD{-jZw--06=`&NH`xqttZIafn}rt~~gzphYXl^*;zyFKFb!TSG_zO#BWEH-V9TQrI5<IQP{_P;C2RqL!s|9EIxqbuvj&C<D"
        "oPrd-nW`o3yuP=iZkjKHm$S4E~K2Q)roCE-*{)Q|"
    )
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "phone.HEIC").write_bytes(HEIC)
    (tmp_path / "no_ending").write_bytes(HEIC)
    (tmp_path / "truncated.heic").write_bytes(HEIC[:400])
    reading._known_formats.cache_clear()
    yield str(tmp_path)
    reading._known_formats.cache_clear()


def test_heic_is_left_out_with_the_reason_where_no_library_reads_it(folder, monkeypatch):
    from PIL import Image

    for name in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, name, None)
    for entry in ("HEIF", "AVIF"):
        monkeypatch.delitem(Image.OPEN, entry, raising=False)
    found = list(pictures([folder]))
    assert [picture.pixels is None for picture in found] == [True] * 3
    assert {picture.problem for picture in found} == {"no image (HEIC: install pi-heif, or save it as JPEG)"}


@pytest.mark.system
def test_heic_is_read_upright(folder):
    if not importlib.util.find_spec("pi_heif") and not importlib.util.find_spec("pillow_heif"):
        pytest.skip("pi-heif is not installed")
    no_ending, phone, truncated = pictures([folder])
    for picture in (phone, no_ending):
        # Orientation 6: shown turned by 90 degrees clockwise, so the stored left edge is at the top.
        assert picture.pixels.shape == (64, 48, 3)
        red = picture.pixels[:, :, 0].astype(int) - picture.pixels[:, :, 2] > 100
        expected = np.zeros((64, 48), bool)
        expected[:32, 24:] = True
        # A few pixels along the edges are blurred by the compression.
        assert (red != expected).mean() < 0.05
    assert truncated.pixels is None
    assert truncated.problem.startswith("unreadable")
