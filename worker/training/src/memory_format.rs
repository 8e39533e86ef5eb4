//! In which order the values of images and convolution weights lie in memory.

use convoy_common::spec::MemoryFormat;

/// The strides, in elements, of a dense tensor of `shape` in this format. Only tensors of four dimensions, images and convolution
/// weights, differ from row-major order (`torch.channels_last`).
pub(crate) fn strides(format: MemoryFormat, shape: &[i64]) -> Vec<i64> {
    match *shape {
        [n, c, h, w] => image_strides(format, [n, c, h, w]).to_vec(),
        _ => row_major(shape),
    }
}

/// As [`strides`], of images `[n, channels, height, width]`.
pub(crate) fn image_strides(format: MemoryFormat, shape: [i64; 4]) -> [i64; 4] {
    let [_, channels, height, width] = shape;
    let image = channels * height * width;
    match format {
        MemoryFormat::ChannelsLast => [image, 1, width * channels, channels],
        MemoryFormat::Contiguous => [image, height * width, width, 1],
    }
}

/// The strides of a dense tensor whose last dimension lies side by side.
pub(crate) fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_side_by_side_in_channels_last() {
        assert_eq!(
            strides(MemoryFormat::ChannelsLast, &[2, 3, 4, 5]),
            [60, 1, 15, 3]
        );
        assert_eq!(
            strides(MemoryFormat::Contiguous, &[2, 3, 4, 5]),
            [60, 20, 5, 1]
        );
    }

    #[test]
    fn matrices_and_vectors_are_row_major_in_both() {
        for format in [MemoryFormat::ChannelsLast, MemoryFormat::Contiguous] {
            assert_eq!(strides(format, &[2, 3]), [3, 1]);
            assert_eq!(strides(format, &[7]), [1]);
            assert_eq!(strides(format, &[]), [0; 0]);
        }
    }
}
