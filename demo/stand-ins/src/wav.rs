//! A quarter of a second of a real WAV file: what the stand-in for Text to Speech says.

const RATE: u32 = 8000;
const SAMPLES: u32 = RATE / 4;

/// Mono, 8 kHz, 16 bit: a triangle of 400 Hz.
pub(crate) fn sound() -> Vec<u8> {
    let data_bytes = SAMPLES * 2;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + data_bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(data_bytes.to_le_bytes());
    for _ in 0..SAMPLES / 20 {
        let rising = (-5_i16..5).map(|step| step * 1000);
        let falling = (-5_i16..5).map(|step| step * -1000);
        file.extend(rising.chain(falling).flat_map(i16::to_le_bytes));
    }
    file
}
